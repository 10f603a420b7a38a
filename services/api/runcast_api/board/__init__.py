"""The board: tasks and subtasks, what they depend on, and the queue from which workers claim them."""

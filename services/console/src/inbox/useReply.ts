import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useToast } from "../design/Toasts";
import { type Given, INBOX, type Inbox, type Question, answer, questionsOf } from "./useInbox";

/** Sends an answer. Whatever comes of it, the lists are read again: another person may have been faster. */
export function useReply() {
  const queries = useQueryClient();
  const say = useToast();
  return useMutation({
    mutationFn: ({ question, given }: { question: Question; given: Given }) => answer(question, given),
    onError: (error) => say(error.message, "bad"),
    onSuccess: (_, { question }) => {
      say("Answered");
      for (const queryKey of [INBOX, questionsOf(question.run_id)]) {
        queries.setQueryData<Inbox>(queryKey, (held) => held && without(held, question.id));
      }
    },
    onSettled: (_, __, { question }) =>
      Promise.all([
        queries.invalidateQueries({ queryKey: INBOX }),
        queries.invalidateQueries({ queryKey: questionsOf(question.run_id) }),
      ]),
  });
}

const without = ({ questions, total }: Inbox, id: string): Inbox => ({
  questions: questions.filter((question) => question.id !== id),
  total: total - 1,
});

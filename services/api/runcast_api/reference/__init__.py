"""What the OpenAPI document says beyond what FastAPI reads from the code: texts, enums, errors, security.

The TOML files hold the texts, one file for each subject. A description in the code (`Field(description=…)`)
wins; a name that means the same everywhere (`next_cursor`) has one text in `common.toml`.
"""

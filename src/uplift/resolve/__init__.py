"""Features and facts to verdicts, stops and remedies. Pure."""

"""What lets an outsider check what was done and decided: the audit log and the evidence archive."""

"""The revisions, oldest first. A released revision is never changed; a new column or table is a new revision."""

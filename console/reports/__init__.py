"""Reports for people outside the console: evidence of an alert, suspicious transaction and order reports."""

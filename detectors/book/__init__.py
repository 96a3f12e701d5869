"""Spoofing, layering and quote stuffing from ten-level books: orders followed from book to book, and boosted trees."""

"""Sentiment of news: a lexicon that always works, trained models, what repeats, and how it fades."""

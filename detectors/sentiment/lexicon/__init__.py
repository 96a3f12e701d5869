"""A finance lexicon of our own, in English, Korean, Traditional and Simplified Chinese, and the rules that apply it."""

"""A small trained model: word and character n-grams with the lexicon's score, in a multinomial logistic regression."""

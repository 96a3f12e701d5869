"""News: cnyes lists and articles, RSS and Atom, de-duplicated by canonical text, with the instruments they speak of."""

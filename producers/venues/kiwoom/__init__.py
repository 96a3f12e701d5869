"""Kiwoom: minute charts of Korean shares over REST (ka10080), and rows of opt10080 from files."""

"""Bars of many instruments, cleaned in parallel by symbol on Spark or in one process, to Parquet and TFRecord."""

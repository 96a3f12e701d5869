"""The commands of benchmarks/: `bench`."""

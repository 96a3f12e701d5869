"""The synthetic market: correlated instruments, ten-level books, injected and labelled manipulation."""

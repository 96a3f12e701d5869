"""A feed's log as its readers see it: admission, control rows, generations, registered instruments, dead letters."""

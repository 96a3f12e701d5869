"""Cases: alerts of a neighbourhood become one piece of work, and people's commands move it on."""

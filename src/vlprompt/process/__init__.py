"""What the process as a whole is told: how memory is kept, how it stops, how it forks."""

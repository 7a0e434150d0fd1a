"""The run report: pages that show what the last ``make sim`` has found, made of what its scenarios have recorded."""

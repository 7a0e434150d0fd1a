"""Plain-Python models: reference hardware, Linux endpoint software, Linux host drivers."""

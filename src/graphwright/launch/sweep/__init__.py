"""Many runs from one plan, on this machine or in a queue."""

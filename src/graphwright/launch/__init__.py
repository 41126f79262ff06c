"""Run here, sweep, submit: all of them only ever execute a saved run folder."""

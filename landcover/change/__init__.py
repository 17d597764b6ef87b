"""Change: where forest fell, from the months in a row to a record and its alerts."""

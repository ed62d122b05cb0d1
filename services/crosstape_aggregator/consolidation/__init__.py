"""One instrument's events of all venues become its consolidated quote. Pure: no I/O, no clock, no log."""

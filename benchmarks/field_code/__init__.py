"""The published objectives of the field as installable packages compute them: `make field-code`."""

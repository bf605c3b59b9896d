"""Named experiments of the field, measured."""

//! Rows as the source gives them: types, bad rows, resuming at every record.

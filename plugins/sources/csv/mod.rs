//! `csv`: reads the rows of CSV files.

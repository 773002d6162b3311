//! Does whatever arrives as input do no harm?

//! Topic Filters and their subscribers.

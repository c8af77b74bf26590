//! Retained messages by topic, in order.

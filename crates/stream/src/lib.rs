//! Change sources, enrichment and sliding windows.

"""A sweep as a job of a Ray cluster: what is asked, what is sent, and how its log is followed."""

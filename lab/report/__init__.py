"""Results for readers: tables for people, JSON for programs, JUnit XML for CI servers."""

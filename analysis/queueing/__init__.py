"""Networks of queues in steady state: customers, stations, and how long they wait. Knows no memory, lock or disk."""

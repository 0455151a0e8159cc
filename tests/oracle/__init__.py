"""The slow, obvious twin of the replay machine, written from ``docs/model.md`` alone; it shares no code with replay."""

"""Load generators. Each measures against a yardstick in the same run: single figures of a busy machine mean little."""

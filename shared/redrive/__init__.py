"""`python -m shared.redrive`: look at what was rejected or dead-lettered, and send it to the request queue again.

`judgement` decides of each message whether it may be sent again, and under which MessageId (pure); `queues` looks and
sends over azure-servicebus; `table` writes what was found; `__main__` is the command. Operators read docs/messages.md.
"""

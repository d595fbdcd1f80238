"""What the gateway's codecs cost, in process."""

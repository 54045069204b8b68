"""Making true what was promised: the store and Temporal, compared again and again."""

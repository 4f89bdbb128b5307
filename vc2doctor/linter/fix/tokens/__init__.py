"""Finds every mention of float16 in the files of a program. No rule is asked, so that no rule's blindness is shared."""

"""One use case a file: a request goes in, a report comes out. Nothing here renders or prints."""

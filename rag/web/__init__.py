"""What the chat page is made of: its queue, its pieces of HTML, uploads, ratings, and its tools for programs."""

"""What PaperTrail is measured with. The measuring itself comes next; see eval/README.md."""

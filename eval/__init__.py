"""What PaperTrail is measured with: gold questions, labelled claims, and run, score, report. See eval/README.md."""

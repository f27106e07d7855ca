"""What is measured on calibration images before thresholds are set."""

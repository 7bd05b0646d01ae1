"""What outlives the process: `rows` says how a value is kept, `holding` how a claim is, `table` and `sqlite` where."""

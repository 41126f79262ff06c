"""What people see of their runs: figures, comparison, the HTML page and the model card.

Reads run folders only: it imports neither torch nor a task, so a report of a run can be made on a
machine that could never train it. The three ways in:

    from graphwright.report.page import write_report
    from graphwright.report.card import write_card
    from graphwright.report.compare import compare
"""

"""Blind votes: what only eyes can judge, asked in pairs.

questions   READ FIRST: which pairs, which side, which ones twice
record      the questions and the answers in the workspace, kept after each vote
taste       strengths of the finalists (Bradley-Terry), how consistent the voter is, which metric predicts the taste
server      the page, for this machine only
"""

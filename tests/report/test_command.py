from __future__ import annotations

from vlprompt.cli import main
from vlprompt.experiments.records import write_record


def test_the_report_command_chooses_among_shots_and_backbones(record_of, tmp_path, capsys):
    for shots, backbone in ((1, "x"), (16, "x"), (16, "y")):
        write_record(tmp_path, record_of("a", "coop", 1, 80, 70, shots=shots, backbone=backbone))
    assert main(["report", str(tmp_path)]) == 2
    assert "--backbone NAME" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--shots", "16", "--backbone", "y"]) == 0
    assert "80.0" in capsys.readouterr().out
    assert main(["report", str(tmp_path), "--shots", "2"]) == 2
    assert "no results for --shots 2" in capsys.readouterr().err

"""Values as text: tables, Go templates, times and amounts, Docker's JSON. Pure; knows no terminal."""

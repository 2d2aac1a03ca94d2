"""The stages: one module and one public function each."""

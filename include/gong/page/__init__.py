"""The Gong page in Airflow's UI: reads the warehouse and writes nothing."""
